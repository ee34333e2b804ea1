"""Raw text to corpora: ingest reads files, clean keeps what is worth training on.

Where there is much text and `config` has `share`, jobs of their own do parts of both beforehand.
"""


rule ingest:
    """Read raw files of any format into documents that say where they came from."""
    input:
        needs("ingest-{source}"),
        shares("ingest-{source}"),
    output:
        directory("build/documents/{source}"),
    log:
        "logs/ingest/{source}.log",
    benchmark:
        "benchmarks/runs/ingest/{source}.tsv"
    threads: 4
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        shares=shares_of("ingest-{source}"),
    shell:
        build_shared("ingest-{wildcards.source}")


rule clean:
    """Keep the text worth training on; every drop has a reason."""
    input:
        needs("clean-{corpus}"),
        shares("clean-{corpus}"),
    output:
        directory("build/corpora/{corpus}"),
    log:
        "logs/clean/{corpus}.log",
    benchmark:
        "benchmarks/runs/clean/{corpus}.tsv"
    threads: workflow.cores
    resources:
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        shares=shares_of("clean-{corpus}"),
    shell:
        build_shared("clean-{wildcards.corpus}")


rule share:
    """Do a part of what ingest or clean will do to much text."""
    input:
        earlier_shares,
    output:
        temp(touch(f"{freshness.STATE}/shares/{{stage}}/{{of}}/{{phase}}/{{part}}")),
    log:
        "logs/share/{stage}/{phase}-{part}-of-{of}.log",
    benchmark:
        "benchmarks/runs/share/{stage}/{phase}-{part}-of-{of}.tsv"
    wildcard_constraints:
        stage="(ingest|clean)-[a-z0-9_]+",
        of=r"\d+",
        phase="[a-z]+",
        part=r"\d+",
    threads: workflow.cores
    resources:
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        shares=lambda wildcards: share.folder(wildcards.stage, wildcards.of),
    shell:
        "RESIDENCY_THREADS={threads} RESIDENCY_SHARES={params.shares:q} python -m residency.share"
        " {wildcards.stage} {wildcards.phase} {wildcards.part} {wildcards.of} > {log} 2>&1"
