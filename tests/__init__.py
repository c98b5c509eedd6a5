"""The tests, in folders named for the packages of `storymesh`, and what several of them share (`tests.support`)."""
