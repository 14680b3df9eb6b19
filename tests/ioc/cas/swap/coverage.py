"""In the place of coverage.py, which caproto's ``example_runner`` imports and we do not have: nothing is measured."""


def process_startup() -> None:
    """What the runner of caproto's IOCs calls."""
