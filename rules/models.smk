"""Models: adopt published weights, extend a tokenizer and measure it, pack token blocks, train."""


rule adopt:
    """Turn published weights into a model in Hugging Face layout."""
    input:
        needs("adopt-{model}"),
    output:
        directory("build/models/{model}"),
    log:
        "logs/adopt/{model}.log",
    benchmark:
        "benchmarks/runs/adopt/{model}.tsv"
    wildcard_constraints:
        model=one_of("adopt"),
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    shell:
        build("adopt-{wildcards.model}")


rule extend:
    """Grow a tokenizer by domain tokens."""
    input:
        needs("extend-{tokenizer}"),
    output:
        directory("build/tokenizers/{tokenizer}"),
    log:
        "logs/extend/{tokenizer}.log",
    benchmark:
        "benchmarks/runs/extend/{tokenizer}.tsv"
    resources:
        mem_mb=growing(8000),
        runtime=growing(240),
    shell:
        build("extend-{wildcards.tokenizer}")


rule fertility:
    """Say what texts and exams cost in a grown tokenizer, beside its base."""
    input:
        needs("fertility-{fertility}"),
    output:
        directory("build/fertility/{fertility}"),
    log:
        "logs/fertility/{fertility}.log",
    benchmark:
        "benchmarks/runs/fertility/{fertility}.tsv"
    threads: workflow.cores
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    shell:
        build("fertility-{wildcards.fertility}")


rule pack:
    """Lay text or conversations out in token blocks with boundaries and loss masks."""
    input:
        needs("pack-{model}"),
    output:
        directory("build/packs/{model}"),
    log:
        "logs/pack/{model}.log",
    benchmark:
        "benchmarks/runs/pack/{model}.tsv"
    threads: workflow.cores
    resources:
        mem_mb=growing(8000),
        runtime=growing(240),
    shell:
        build("pack-{wildcards.model}")


rule train:
    """Turn a parent's weights and packed data into a model.

    Clusters warn all processes of a job; only the training heeds it, saves its state and stops.
    """
    input:
        needs("train-{model}"),
    output:
        directory("build/models/{model}"),
    log:
        "logs/train/{model}.log",
    benchmark:
        "benchmarks/runs/train/{model}.tsv"
    wildcard_constraints:
        model=one_of("train"),
    threads: workflow.cores
    resources:
        **several_nodes(),
        mem_mb=growing(8000),
        runtime=1440,  # one that was stopped goes on
    shell:
        f"trap '' TERM USR1; {build('train-{wildcards.model}')}"
