"""One small Spark for all tests of a process: pyspark stands in an environment of its own, `make spark`."""

import os
import sys
from functools import cache
from pathlib import Path

from storymesh.engine.spark.session import SparkAddress
from tests.support.needs import needs
from tests.support.paths import ROOT

# Tables are of some rows: what takes time is to plan and compile, not to compute.
SETTINGS = {
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.driver.memory": "1500m",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.log.level": "ERROR",
    # To compile to bytecode what runs over ten rows takes longer than to run it.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


@cache
def local_spark() -> SparkAddress:
    """Return the address of a Spark in this process. Skip or fail the test where there is none, as `needs` does."""
    needs("java", package="openjdk-17-jre-headless")
    folder = Path(os.environ.get("SPARK_ENV", ROOT / ".venv-spark"))  # an environment, or a folder of packages
    packages = needs(*folder.glob("lib/python3.*/site-packages/pyspark"), folder / "pyspark", how="make spark").parent
    sys.path.append(str(packages))
    return SparkAddress(master="local[2]", settings=SETTINGS)
