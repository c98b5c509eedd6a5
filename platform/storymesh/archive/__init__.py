"""What is done with releases that stand: verify, compare, take, hand on, make again, forget."""
