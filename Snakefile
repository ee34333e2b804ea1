"""residency: from raw books and exams to an evaluated specialist and its report.

    snakemake --cores all eval      build everything params.yaml declares
    snakemake -n eval               say what would be done
    snakemake --profile profiles/slurm eval      the same on a cluster

What is built stands in params.yaml; what a step is, in dvc.yaml; how and where it runs, in rules/;
what it does, in src/residency/.
"""


include: "rules/common.smk"


wildcard_constraints:
    **{name: "[a-z0-9_]+" for name in ["source", "exam", "corpus", "tokenizer", "questions"]},
    **{name: "[a-z0-9_]+" for name in ["model", "evaluation", "fertility"]},


localrules:
    adopt,
    report,


rule eval:
    """The report on everything that is declared."""
    input:
        "build/report",


include: "rules/texts.smk"
include: "rules/exams.smk"
include: "rules/models.smk"
include: "rules/scores.smk"
