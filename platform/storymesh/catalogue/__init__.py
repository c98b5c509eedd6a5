"""The mesh as a static site for people: what there is, who owns it, how good it is, and what comes of it."""
