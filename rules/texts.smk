"""Raw text to corpora: ingest reads files, clean keeps what is worth training on."""


rule ingest:
    """Read raw files of any format into documents that say where they came from."""
    input:
        needs("ingest-{source}"),
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
    shell:
        build("ingest-{wildcards.source}")


rule clean:
    """Keep the text worth training on; every drop has a reason."""
    input:
        needs("clean-{corpus}"),
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
    shell:
        build("clean-{wildcards.corpus}")
