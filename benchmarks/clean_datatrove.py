"""datatrove's side of benchmarks/clean.py; runs in an environment of its own.

    pip install datatrove==0.10.1 spacy nltk "xxhash<4" regex orjson ftfy fasteners
    python benchmarks/clean_datatrove.py IN_FOLDER OUT_FOLDER WORKERS

The filters in FineWeb's order, then MinHash as FineWeb does it (14 buckets of 8, 5-grams). Words
and sentences are spaCy's by rule, datatrove's choice for English, which needs nothing fetched.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter


def spent() -> float:
    """CPU seconds of this process and of those it started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> None:
    """Run the stages and write stages.json: wall and CPU seconds of each."""
    source, out, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    config = MinhashConfig()
    dropped = out / "dropped"

    def writer(name: str) -> JsonlWriter:
        return JsonlWriter(str(dropped / name), compression=None)

    def stage(name: str, pipeline: list[object], tasks: int) -> None:
        began, cpu = time.perf_counter(), spent()
        LocalPipelineExecutor(
            pipeline=pipeline,
            tasks=tasks,
            workers=min(tasks, workers),
            logging_dir=str(out / "logs" / name),
        ).run()
        stages[name] = [time.perf_counter() - began, spent() - cpu]

    stages: dict[str, list[float]] = {}
    kept, sigs, buckets, ids = (str(out / name) for name in ("kept", "sigs", "buckets", "ids"))
    stage(
        "filters",
        [
            JsonlReader(str(source), glob_pattern="*.jsonl"),
            GopherRepetitionFilter(exclusion_writer=writer("repetition")),
            GopherQualityFilter(exclusion_writer=writer("gopher")),
            C4QualityFilter(exclusion_writer=writer("c4")),
            FineWebQualityFilter(exclusion_writer=writer("fineweb")),
            JsonlWriter(kept, compression=None),
        ],
        workers,
    )
    stage(
        "signatures",
        [JsonlReader(kept), MinhashDedupSignature(sigs, config=config)],
        workers,
    )
    stage("buckets", [MinhashDedupBuckets(sigs, buckets, config=config)], config.num_buckets)
    stage("clusters", [MinhashDedupCluster(buckets, ids, config=config)], 1)
    stage(
        "filter",
        [
            JsonlReader(kept),
            MinhashDedupFilter(ids, exclusion_writer=writer("near")),
            JsonlWriter(str(out / "final"), compression=None),
        ],
        workers,
    )
    (out / "stages.json").write_text(json.dumps(stages))


if __name__ == "__main__":
    main()
