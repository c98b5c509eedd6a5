"""Every definition below one root, linked and frozen."""
