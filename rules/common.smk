"""The declaration is read, and DVC is asked what is stale; then what every rule is made of.

That is needs(stage), build(stage), growing(amount), one_of(step).

Of a stage that jobs share: shares(stage), shares_of(stage), build_shared(stage).
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


def needs(stage):
    """A rule's inputs: the artifacts its stage reads, and the stamp that says it is stale."""

    def inputs(wildcards):
        found = STAGES[stage.format(**wildcards)]
        artifacts = [each.out.as_posix() for each in graph.needed(found, STAGES.values())]
        return [*artifacts, freshness.stamp(found.name).as_posix()]

    return inputs


def build(stage):
    """A rule's command: DVC runs the stage if it is changed, and records what came out."""
    repro = (
        f"RESIDENCY_COMPLAINT={COMPLAINTS}/{stage} dvc --wait-for-lock repro --single-item {stage}"
    )
    if not workflow.is_main_process:  # on a node of a cluster
        repro = f"python -m residency.job {stage}"
    return f"RESIDENCY_THREADS={{threads}} {HOW}{repro} > {{log}} 2>&1"


def build_shared(stage):
    """The same where jobs of their own may have done parts of it, which lie in params.shares."""
    return (
        "RESIDENCY_SHARES={params.shares:q} " + build(stage) + " && rm -rf {params.shares.parent:q}"
    )


def parts(stage):
    """How many jobs share a stage."""
    return share.parts(STAGES[stage], STAGES.values(), SHARE)


def shares_of(stage):
    """Where the parts of a stage lie that jobs of their own did."""

    def folder(wildcards):
        name = stage.format(**wildcards)
        return share.folder(name, parts(name))

    return folder


def shares(stage):
    """What says that all parts of a stage are done, where jobs share it."""

    def inputs(wildcards):
        name = stage.format(**wildcards)
        return each_share(name, parts(name), share.phases(STAGES[name], DECLARATION)[-1])

    return inputs


def earlier_shares(wildcards):
    """What a part needs: all that its stage reads, and the phase before, whole."""
    stage, phases = wildcards.stage, share.phases(STAGES[wildcards.stage], DECLARATION)
    position = phases.index(wildcards.phase)
    done = each_share(stage, int(wildcards.of), phases[position - 1]) if position else []
    return [*needs(stage)({}), *done]


def each_share(stage, of, phase):
    """The parts of a phase, by what says that they are done; none where one job does all."""
    folder = f"{freshness.STATE}/shares/{stage}/{of}/{phase}"
    return [f"{folder}/{part}" for part in range(of if of > 1 else 0)]


def growing(amount):
    """A resource of which a job that failed gets more, where a profile has it tried again."""
    return lambda wildcards, attempt: amount * attempt


def one_of(step):
    """The names a step is declared for, as a wildcard's pattern."""
    names = [stage.out.name for stage in STAGES.values() if stage.step == step]
    return "|".join(names) or "(?!)"


def told_how():
    """A profile's `config` as environment variables: how models train and are asked, never what."""
    known = (*devices.VARIABLES, *endpoint.VARIABLES, *slurm.SETTINGS, "share")
    told = dict(config)
    if (orphans := told.pop("orphans", "wait")) not in slurm.ORPHANS:
        raise WorkflowError(f"config: orphans is {' or '.join(slurm.ORPHANS)}, found {orphans!r}")
    for key, value in told.items():
        if key not in known:
            raise WorkflowError(f"config: unknown {key!r}; {nearest(key, known)}")
        if not str(value).isdecimal():
            raise WorkflowError(f"config: {key} is a whole number, found {value!r}")
    told.pop("share", None)
    return "".join(f"RESIDENCY_{key.upper()}={value} " for key, value in sorted(told.items()))


def several_nodes():
    """The resources of a training on several nodes; it calls srun itself (residency.launch)."""
    nodes = int(config.get("nodes", 1))
    agents = {"nodes": nodes, "tasks": nodes, "tasks_per_gpu": 0, "mpi": "srun"}
    return agents if nodes > 1 else {}


HOW = told_how()
SHARE = int(config.get("share", 0))


onstart:
    for job in workflow.dag.needrun_jobs():
        for name in {
            stage.name for stage in STAGES.values() if stage.out.as_posix() in job.output
        }:
            if name in UNPULLED:
                raise WorkflowError(UNPULLED[name])
