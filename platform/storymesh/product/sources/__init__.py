"""The raw files and dbt models that rows of products come from, one module for each kind."""
