"""The assets of a mesh: products, dbt models, raw files and narratives, and what they have in common."""
