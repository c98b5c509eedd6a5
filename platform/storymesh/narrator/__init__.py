"""Records retold by a language model: every fact checked, no call paid twice."""
