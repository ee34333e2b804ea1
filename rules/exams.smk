"""Questions: examine reads those others wrote, write makes new ones from passages."""


rule examine:
    """Read a raw exam dump into questions of one schema, split with groups kept whole."""
    input:
        needs("examine-{exam}"),
    output:
        directory("build/exams/{exam}"),
    log:
        "logs/examine/{exam}.log",
    benchmark:
        "benchmarks/runs/examine/{exam}.tsv"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    shell:
        build("examine-{wildcards.exam}")


rule write:
    """Write exam questions from passages, each with the passage it came from."""
    input:
        needs("write-{questions}"),
    output:
        directory("build/questions/{questions}"),
    log:
        "logs/write/{questions}.log",
    benchmark:
        "benchmarks/runs/write/{questions}.tsv"
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    shell:
        build("write-{wildcards.questions}")
