"""A small recording in each text format, and the frames it holds."""

from agent.core.frames import (
    BIT_RATE_SWITCH,
    ERROR_FRAME,
    ERROR_STATE,
    EXTENDED,
    FD,
    OWN,
    REMOTE,
    Frame,
    FrameBatch,
    concatenate,
)
from simulators.replay import Recording

CANDUMP = """\
(1612345678.000000) can0 123#0011AA
(1612345678.000250) can1 12345678#
(1612345678.001000) can0 7FF#R
(1612345678.002000) vcan 123##3001122 T
(1612345678.003000) can0 20000004#0000000000000000
(1612345678.004000) can0 00000123#DE.AD.BE.EF R
"""
CRTD = """\
1320745424.000 CXX OVMS Tesla Roadster cando2crtd converted log
1320745424.002 R11 402 FA 01 C3 A0 96 00 07 01
1320745424.0025 2R29 18FEF100 01
1320745424.003 T11 7DF 02 01 00
1320745424.004 1CEV vehicle.alert x
"""
GVRET = """\
Time Stamp,ID,Extended,Bus,LEN,D1,D2,D3,D4,D5,D6,D7,D8
166064000,0000021A,false,0,8,FE,36,12,FE,69,05,07,AD,
166064100,18FEF100,true,1,2,01,02,00,00,00,00,00,00,
166065000,000007DF,false,Tx,0,3,2,1,C,
"""
PYTHON_CAN = """\
timestamp,arbitration_id,extended,remote,error,dlc,data
1790000000.25,0x25,0,0,0,8,//8AAAAAACs=
1790000000.2519674,0x18fef100,1,0,0,1,AQ==
1790000000.26,0x7ff,0,1,0,4,
1790000001.25,0x4,0,0,1,0,
"""
GENERIC = """\
ID,Data Bytes
0000021A,FE 36 12\x20
18FEF100,01
"""
MICROCHIP = """\
//---------------------------------
Microchip Technology Inc.
CAN BUS Analyzer
SavvyCAN Exporter
Logging Started: 23/9/2015 22:17:43
//---------------------------------
166064;RX;0x0000021A;8;0xFE;0x36;0x12;0xFE;0x69;0x05;0x07;0xAD;
166065;TX;0x18FEF100x;1;0x1;
166066;RX;0x7FF;0;
"""
BUSMASTER = """\
***BUSMASTER Ver 2.4.0***
***PROTOCOL CAN***
***[START LOGGING SESSION]***
***START DATE AND TIME 23:9:2015 22:17:28:928***
***HEX***
***SYSTEM MODE***
***<Time><Tx/Rx><Channel><CAN ID><Type><DLC><DataBytes>***
22:20:14:992 Rx 1 0x21A s 2 FE 36
22:20:14:9935 Tx 2 18FEF100 x 1 01
22:20:15:7 Rx 1 7FF sr 4
***[STOP LOGGING SESSION]***
"""
ASC = """\
date Thu Sep 30 03:06:13.191 pm 2017
base hex  timestamps absolute
internal events logged
// version 9.0.0
Begin Triggerblock Thu Sep 30 03:06:13.191 pm 2017
   0.000000 Start of measurement
   0.015991 1  C4              Rx   d 2 AA BB  Length = 256000 BitCount = 132 ID = 196
   0.015992 2  18EBFF00x       Tx   d 1 01
   0.015993 1  300             Rx   r 4
   0.015994 1  ErrorFrame      ECC: 10100010
   0.015995 1  Statistic: D 0 R 0 XD 0 XR 0 E 0 O 0 B 0.00%
   0.016000 1  7DF             TxRq d 1 00
   0.017000 CANFD   2 Rx        4EE  name       1 1 9 12 01 02 03 04 05 06 07 08 09 0A 0B 0C  0  0  3000 0 0 0 0 0
   0.018000 CANFD   1 Tx   1FFFFFFFx                     0 0 1  1 FE 0  0  1000 0 0 0 0 0
   0.019000 J1939TP FEE3p 6 0 0 - Rx d 23 A0 0F A6 60 3B D1 40 1F DE 80
End TriggerBlock
"""
ASC_RELATIVE = """\
date Fre Mär 2 10:11:12 2018
base dec timestamps relative
0.500000 1 291 Rx d 2 255 16
0.250000 1 536870911x Rx d 0
"""

MS = 1_000_000
CASES = {
    ("drive.log", "candump", CANDUMP): [
        Frame(0, 0x123, b"\x00\x11\xaa"),
        Frame(250_000, 0x12345678, b"", EXTENDED, bus=1),
        Frame(1 * MS, 0x7FF, b"", REMOTE),
        Frame(2 * MS, 0x123, b"\x00\x11\x22", FD | BIT_RATE_SWITCH | ERROR_STATE | OWN),
        Frame(3 * MS, 0x4, bytes(8), ERROR_FRAME),
        Frame(4 * MS, 0x123, b"\xde\xad\xbe\xef", EXTENDED),
    ],
    ("drive.txt", "crtd", CRTD): [
        Frame(0, 0x402, bytes.fromhex("FA01C3A096000701")),
        Frame(500_000, 0x18FEF100, b"\x01", EXTENDED, bus=1),
        Frame(1 * MS, 0x7DF, b"\x02\x01\x00", OWN),
    ],
    ("drive.csv", "gvret", GVRET): [
        Frame(0, 0x21A, bytes.fromhex("FE3612FE690507AD")),
        Frame(100_000, 0x18FEF100, b"\x01\x02", EXTENDED, bus=1),
        Frame(1 * MS, 0x7DF, b"\x02\x01\x0c", OWN),
    ],
    ("drive.csv", "python-can", PYTHON_CAN): [
        Frame(0, 0x25, bytes.fromhex("FFFF00000000002B")),
        Frame(1_967_400, 0x18FEF100, b"\x01", EXTENDED),
        Frame(10 * MS, 0x7FF, b"", REMOTE),
        Frame(1000 * MS, 0x4, b"", ERROR_FRAME),
    ],
    ("drive.csv", "generic-id", GENERIC): [
        Frame(0, 0x21A, b"\xfe\x36\x12"),
        Frame(1 * MS, 0x18FEF100, b"\x01", EXTENDED),
    ],
    ("drive.log", "microchip", MICROCHIP): [
        Frame(0, 0x21A, bytes.fromhex("FE3612FE690507AD")),
        Frame(1 * MS, 0x18FEF100, b"\x01", EXTENDED | OWN),
        Frame(2 * MS, 0x7FF, b""),
    ],
    ("drive.log", "busmaster", BUSMASTER): [
        Frame(0, 0x21A, b"\xfe\x36"),
        Frame(1_500_000, 0x18FEF100, b"\x01", EXTENDED | OWN, bus=1),
        Frame(15 * MS, 0x7FF, b"", REMOTE),
    ],
    ("drive.asc", "asc", ASC): [
        Frame(0, 0xC4, b"\xaa\xbb"),
        Frame(1_000, 0x18EBFF00, b"\x01", EXTENDED | OWN, bus=1),
        Frame(2_000, 0x300, b"", REMOTE),
        Frame(3_000, 0, b"", ERROR_FRAME),
        Frame(1_009_000, 0x4EE, bytes(range(1, 13)), FD | BIT_RATE_SWITCH | ERROR_STATE, bus=1),
        Frame(2_009_000, 0x1FFFFFFF, b"\xfe", EXTENDED | OWN | FD),
    ],
    ("drive.asc", "asc", ASC_RELATIVE): [
        Frame(0, 291, b"\xff\x10"),
        Frame(250 * MS, 0x1FFFFFFF, b"", EXTENDED),
    ],
}
STARTS_NS = {
    "candump": 1_612_345_678_000_000_000,
    "crtd": 1_320_745_424_002_000_000,
    "python-can": 1_790_000_000_250_000_000,
    "busmaster": 1_443_046_814_992_000_000,
    "asc": 1_506_783_973_206_991_000,
}


def frames_of(batch: FrameBatch) -> list[Frame]:
    return [
        Frame(int(t), int(i), row[:n].tobytes(), int(f), int(b))
        for t, i, row, n, f, b in zip(
            batch.t_ns, batch.can_id, batch.data, batch.length, batch.flags, batch.bus, strict=True
        )
    ]


def read(recording: Recording) -> list[Frame]:
    return frames_of(concatenate(list(recording)))
