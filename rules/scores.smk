"""Scores: evaluate seats a model at an exam, report puts everything on one page."""


rule evaluate:
    """Seat one model at one exam under one protocol."""
    input:
        needs("evaluate-{evaluation}-{model}"),
    output:
        directory("build/evaluations/{evaluation}/{model}"),
    log:
        "logs/evaluate/{evaluation}-{model}.log",
    benchmark:
        "benchmarks/runs/evaluate/{evaluation}-{model}.tsv"
    wildcard_constraints:
        model="[a-z0-9_]+(-[0-9]+)?",  # resident-50 is what resident was after half of its steps
    threads: workflow.cores
    resources:
        mem_mb=growing(6000),
        runtime=growing(240),
    shell:
        build("evaluate-{wildcards.evaluation}-{wildcards.model}")


rule report:
    """Put models, exams, losses and everything that was dropped on one page."""
    input:
        needs("report"),
    output:
        directory("build/report"),
    log:
        "logs/report.log",
    benchmark:
        "benchmarks/runs/report.tsv"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    shell:
        build("report")
