"""Files with a known truth, answers about them that are right, and answers that are wrong in many ways."""
