"""What every rule is made of: needs(stage), build(stage), growing(amount), one_of(step)."""


def needs(stage):
    """A rule's inputs: the artifacts its stage reads, and the stamp that says it is stale."""

    def inputs(wildcards):
        found = STAGES[stage.format(**wildcards)]
        artifacts = [each.out.as_posix() for each in graph.needed(found, STAGES.values())]
        return [*artifacts, freshness.stamp(found.name).as_posix()]

    return inputs


def build(stage):
    """A rule's command: DVC runs the stage if it is changed, and records what came out."""
    repro = f"dvc --wait-for-lock repro --single-item {stage}"
    if not workflow.is_main_process:  # on a node of a cluster
        repro = f"python -m residency.job {stage}"
    return f"RESIDENCY_THREADS={{threads}} {HOW}{repro} > {{log}} 2>&1"


def growing(amount):
    """A resource of which a job that failed gets more, where a profile has it tried again."""
    return lambda wildcards, attempt: amount * attempt


def one_of(step):
    """The names a step is declared for, as a wildcard's pattern."""
    names = [stage.out.name for stage in STAGES.values() if stage.step == step]
    return "|".join(names) or "(?!)"


def told_how():
    """A profile's `config` as environment variables: how models train and are asked, never what."""
    known = (*devices.VARIABLES, *endpoint.VARIABLES, *slurm.SETTINGS)
    told = dict(config)
    if (orphans := told.pop("orphans", "wait")) not in slurm.ORPHANS:
        raise WorkflowError(f"config: orphans is {' or '.join(slurm.ORPHANS)}, found {orphans!r}")
    for key, value in told.items():
        if key not in known:
            raise WorkflowError(f"config: unknown {key!r}; {nearest(key, known)}")
        if not str(value).isdecimal():
            raise WorkflowError(f"config: {key} is a whole number, found {value!r}")
    return "".join(f"RESIDENCY_{key.upper()}={value} " for key, value in sorted(told.items()))


def several_nodes():
    """The resources of a training on several nodes; it calls srun itself (residency.launch)."""
    nodes = int(config.get("nodes", 1))
    agents = {"nodes": nodes, "tasks": nodes, "tasks_per_gpu": 0, "mpi": "srun"}
    return agents if nodes > 1 else {}


HOW = told_how()


onstart:
    for job in workflow.dag.needrun_jobs():
        for name in {
            stage.name for stage in STAGES.values() if stage.out.as_posix() in job.output
        }:
            if name in UNPULLED:
                raise WorkflowError(UNPULLED[name])
