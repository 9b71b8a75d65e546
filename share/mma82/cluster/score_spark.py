"""Scores predictions where they lie on a Spark cluster: each partition becomes counts, and `score` adds the counts up.

    spark-submit score_spark.py 'hdfs:///predictions/*.jsonl' --by domain --format table

What follows the path are options of `mma82 score`. The same PATH must lead to `mma82` on every machine. The result is, to the
last bit, that of `mma82 score` on all of the files.
"""

import os
import shlex
import subprocess
import sys

from pyspark.sql import SparkSession


def main(path: str, *options: str) -> int:
    """Prints what `mma82 score OPTION...` says of the JSON Lines at `path`; returns its exit status."""
    count = shlex.join(["mma82", "score", "--counts", *options])
    lines = SparkSession.builder.appName("mma82 score").getOrCreate().sparkContext.textFile(path)
    counts = lines.pipe(count, env={"PATH": os.environ["PATH"]}, checkCode=True).collect()
    return subprocess.run(["mma82", "score", *options], input="\n".join(counts), text=True, encoding="utf-8").returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
