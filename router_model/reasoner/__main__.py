"""`python -m router_model.reasoner`: retrain one release of the tiny reasoner and its split pair, and measure them."""

from router_model.reasoner.release import main

if __name__ == "__main__":
    main()
