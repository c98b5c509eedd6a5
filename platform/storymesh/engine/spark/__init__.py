"""The Spark engine, classic or Connect: the only place that imports pyspark."""
