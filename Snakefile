"""residency: from raw books and exams to an evaluated specialist and its report.

    snakemake --cores all eval      build everything params.yaml declares
    snakemake -n eval               say what would be done
    snakemake --profile profiles/slurm eval      the same on a cluster

What is built stands in params.yaml; what a step is, in dvc.yaml; how and where it runs, in rules/;
what it does, in src/residency/.
"""

from pathlib import Path

from snakemake.exceptions import WorkflowError

from residency import declaration, devices, endpoint, freshness, graph, share, slurm
from residency.job import COMPLAINTS, heed_complaints
from residency.section import Complaint, nearest

try:
    UNPULLED = {}
    DECLARATION = declaration.load(Path("params.yaml"), raw=False)
    graph.check(DECLARATION)
    STAGES = {stage.name: stage for stage in graph.stages(DECLARATION)}
    if workflow.is_main_process:
        if "nodes" in config:
            slurm.ready()
        dry = workflow.output_settings.dryrun
        UNPULLED = freshness.begin(dry, config.get("orphans") == "cancel" and not dry)
    declaration.check_raw(DECLARATION, Path("params.yaml"))
    if workflow.is_main_process:
        freshness.align(list(STAGES.values()))
        heed_complaints()
    else:
        slurm.pass_on()
except Complaint as complaint:
    raise WorkflowError(str(complaint))


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


include: "rules/common.smk"
include: "rules/texts.smk"
include: "rules/exams.smk"
include: "rules/models.smk"
include: "rules/scores.smk"
