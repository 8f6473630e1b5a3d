"""`python -m router_model.reasoner`: trains one release of the tiny reasoner and its split pair."""

from router_model import extras


def _run() -> None:
    extras.need("train")
    from router_model.reasoner.release import main

    main()


if __name__ == "__main__":
    _run()
