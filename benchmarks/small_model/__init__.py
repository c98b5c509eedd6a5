"""What a small real model gets accepted: variants of templates, and records retold."""
