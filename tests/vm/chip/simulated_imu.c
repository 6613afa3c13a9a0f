// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * A simulated IMU behind the kernel's own IIO: accelerometer and gyroscope with a queue of their own, as chips have one.
 * Scan number n reads accel_x = n mod 16384, accel_y = -accel_x, accel_z = 1 g of the finest scale, anglvel = n mod
 * 1000 on every axis; so whoever reads can tell which scans are missing. Stamps lie on an even grid from the start.
 * The parameter `skip` leaves out every so many-th scan, as a queue that overflowed does.
 */
#include <linux/hrtimer.h>
#include <linux/iio/buffer.h>
#include <linux/iio/iio.h>
#include <linux/iio/kfifo_buf.h>
#include <linux/module.h>
#include <linux/platform_device.h>

static uint skip;
module_param(skip, uint, 0644);
static ulong pushed;
module_param(pushed, ulong, 0444);

struct imu {
	struct hrtimer timer;
	struct iio_dev *dev;
	s64 start_ns;
	u64 number;
	int rate_hz;
	int scale;
	struct {
		s16 axes[6];
		s64 stamp __aligned(8);
	} scan;
};

/* m/s^2 a count, in 1e-9: ranges of 2, 4, 8 and 16 g over 16 bits. */
static const int scales[][2] = { { 0, 598550 }, { 0, 1197101 }, { 0, 2394202 }, { 0, 4788403 } };
static const int turning[][2] = { { 0, 1064725 } }; /* rad/s a count: 2000 degrees/s */
static const int rates[] = { 100, 200, 400, 800, 1600 };

static enum hrtimer_restart tick(struct hrtimer *timer)
{
	struct imu *imu = container_of(timer, struct imu, timer);
	ktime_t period = ns_to_ktime(NSEC_PER_SEC / imu->rate_hz);
	u64 due = hrtimer_forward_now(timer, period);

	while (due--) {
		u64 n = imu->number++;

		if (skip && n % skip == skip - 1)
			continue;
		imu->scan.axes[0] = n % 16384;
		imu->scan.axes[1] = -imu->scan.axes[0];
		imu->scan.axes[2] = 16384;
		imu->scan.axes[3] = imu->scan.axes[4] = imu->scan.axes[5] = n % 1000;
		iio_push_to_buffers_with_timestamp(imu->dev, &imu->scan,
						   imu->start_ns + n * (NSEC_PER_SEC / imu->rate_hz));
		pushed++;
	}
	return HRTIMER_RESTART;
}

static int enable(struct iio_dev *dev)
{
	struct imu *imu = iio_priv(dev);

	imu->number = 0;
	imu->start_ns = iio_get_time_ns(dev);
	hrtimer_start(&imu->timer, ns_to_ktime(NSEC_PER_SEC / imu->rate_hz), HRTIMER_MODE_REL);
	return 0;
}

static int disable(struct iio_dev *dev)
{
	struct imu *imu = iio_priv(dev);

	hrtimer_cancel(&imu->timer);
	return 0;
}

static const struct iio_buffer_setup_ops setup = { .postenable = enable, .predisable = disable };

static int read_raw(struct iio_dev *dev, struct iio_chan_spec const *channel, int *val, int *val2, long mask)
{
	struct imu *imu = iio_priv(dev);

	switch (mask) {
	case IIO_CHAN_INFO_SCALE:
		*val = 0;
		*val2 = channel->type == IIO_ACCEL ? scales[imu->scale][1] : turning[0][1];
		return IIO_VAL_INT_PLUS_NANO;
	case IIO_CHAN_INFO_SAMP_FREQ:
		*val = imu->rate_hz;
		return IIO_VAL_INT;
	}
	return -EINVAL;
}

static int write_raw(struct iio_dev *dev, struct iio_chan_spec const *channel, int val, int val2, long mask)
{
	struct imu *imu = iio_priv(dev);
	int i, result = -EINVAL;

	if (iio_device_claim_direct_mode(dev))
		return -EBUSY; /* a chip that captures takes no setting */
	if (mask == IIO_CHAN_INFO_SAMP_FREQ)
		for (i = 0; i < ARRAY_SIZE(rates); i++)
			if (rates[i] == val) {
				imu->rate_hz = val;
				result = 0;
			}
	if (mask == IIO_CHAN_INFO_SCALE && channel->type == IIO_ACCEL)
		for (i = 0; i < ARRAY_SIZE(scales); i++)
			if (scales[i][1] == val2 && !val) {
				imu->scale = i;
				result = 0;
			}
	if (mask == IIO_CHAN_INFO_SCALE && channel->type == IIO_ANGL_VEL && !val && val2 == turning[0][1])
		result = 0;
	iio_device_release_direct_mode(dev);
	return result;
}

static int write_raw_get_fmt(struct iio_dev *dev, struct iio_chan_spec const *channel, long mask)
{
	return mask == IIO_CHAN_INFO_SCALE ? IIO_VAL_INT_PLUS_NANO : IIO_VAL_INT;
}

static int read_avail(struct iio_dev *dev, struct iio_chan_spec const *channel, const int **values, int *type,
		      int *length, long mask)
{
	switch (mask) {
	case IIO_CHAN_INFO_SCALE:
		*values = channel->type == IIO_ACCEL ? &scales[0][0] : &turning[0][0];
		*length = channel->type == IIO_ACCEL ? 2 * ARRAY_SIZE(scales) : 2;
		*type = IIO_VAL_INT_PLUS_NANO;
		return IIO_AVAIL_LIST;
	case IIO_CHAN_INFO_SAMP_FREQ:
		*values = rates;
		*length = ARRAY_SIZE(rates);
		*type = IIO_VAL_INT;
		return IIO_AVAIL_LIST;
	}
	return -EINVAL;
}

static const struct iio_info info = {
	.read_raw = read_raw,
	.write_raw = write_raw,
	.write_raw_get_fmt = write_raw_get_fmt,
	.read_avail = read_avail,
};

#define AXIS(kind, axis, index)                                                           \
	{                                                                                 \
		.type = kind, .modified = 1, .channel2 = axis, .scan_index = index,       \
		.info_mask_shared_by_type = BIT(IIO_CHAN_INFO_SCALE),                     \
		.info_mask_shared_by_type_available = BIT(IIO_CHAN_INFO_SCALE),           \
		.info_mask_shared_by_all = BIT(IIO_CHAN_INFO_SAMP_FREQ),                  \
		.info_mask_shared_by_all_available = BIT(IIO_CHAN_INFO_SAMP_FREQ),        \
		.scan_type = { .sign = 's', .realbits = 16, .storagebits = 16, .endianness = IIO_CPU }, \
	}

static const struct iio_chan_spec channels[] = {
	AXIS(IIO_ACCEL, IIO_MOD_X, 0),	  AXIS(IIO_ACCEL, IIO_MOD_Y, 1),    AXIS(IIO_ACCEL, IIO_MOD_Z, 2),
	AXIS(IIO_ANGL_VEL, IIO_MOD_X, 3), AXIS(IIO_ANGL_VEL, IIO_MOD_Y, 4), AXIS(IIO_ANGL_VEL, IIO_MOD_Z, 5),
	IIO_CHAN_SOFT_TIMESTAMP(6),
};
static const unsigned long masks[] = { GENMASK(5, 0), 0 }; /* all axes or none, as queues of chips hold them */

static struct platform_device *board;
static struct iio_dev *device;

static int __init begin(void)
{
	struct imu *imu;
	int failed;

	board = platform_device_register_simple("simulated-imu", -1, NULL, 0);
	if (IS_ERR(board))
		return PTR_ERR(board);
	device = devm_iio_device_alloc(&board->dev, sizeof(*imu));
	if (!device) {
		platform_device_unregister(board);
		return -ENOMEM;
	}
	imu = iio_priv(device);
	imu->dev = device;
	imu->rate_hz = 100;
	hrtimer_init(&imu->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	imu->timer.function = tick;
	device->name = "simulated-imu";
	device->info = &info;
	device->channels = channels;
	device->num_channels = ARRAY_SIZE(channels);
	device->available_scan_masks = masks;
	device->modes = INDIO_DIRECT_MODE;
	failed = devm_iio_kfifo_buffer_setup(&board->dev, device, &setup);
	if (!failed)
		failed = iio_device_register(device);
	if (failed)
		platform_device_unregister(board);
	return failed;
}

static void __exit end(void)
{
	iio_device_unregister(device);
	platform_device_unregister(board);
}

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("Simulated accelerometer and gyroscope for Outrider's tests");
MODULE_LICENSE("GPL");
