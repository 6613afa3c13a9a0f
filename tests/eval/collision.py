"""`./run eval collision`: the collision detector on recordings of real vehicles; `--sweep`: on simulated scenes."""

from collections.abc import Sequence

from simulators.arguments import Parser
from tests.eval import collision_sweep


def main(argv: Sequence[str]) -> int:
    """Exit code 0; 2 for what cannot be done as asked."""
    parser = Parser(prog="./run eval collision", description=__doc__)
    parser.add_argument("--sweep", action="store_true", help="the library of blows instead of recordings")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    collision_sweep.add_options(parser)
    options = parser.parse_args(argv)
    return collision_sweep.main(options)
