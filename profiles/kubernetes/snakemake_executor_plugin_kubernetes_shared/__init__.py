"""Snakemake's plugin for Kubernetes, for a project on a volume that all pods mount.

The plugin takes pods to share no folder, and Snakemake then copies inputs and outputs through a
bucket; DVC needs the project itself, so jobs run in it. And every pod has 64 MB of shared memory,
too little for NCCL: here a job gets as much as its memory limit allows.

Found where PYTHONPATH has profiles/kubernetes; Snakemake imports every plugin that it can find.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import snakemake_executor_plugin_kubernetes as plugin
from kubernetes.client import V1EmptyDirVolumeSource, V1Volume, V1VolumeMount

common_settings = replace(
    plugin.common_settings,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    auto_deploy_default_storage_provider=False,
)
ExecutorSettings = plugin.ExecutorSettings


class Executor(plugin.Executor):  # type: ignore[misc]
    """The plugin's, whose jobs run in the project and have shared memory."""

    def __post_init__(self) -> None:
        """Connect, and see to it that jobs are created so."""
        super().__post_init__()
        create = self.batchapi.create_namespaced_job

        def create_namespaced_job(namespace: str, body: Any) -> Any:
            pod = body.spec.template.spec
            memory = V1EmptyDirVolumeSource(medium="Memory")
            pod.volumes.append(V1Volume(name="shared-memory", empty_dir=memory))
            mounted = V1VolumeMount(name="shared-memory", mount_path="/dev/shm")
            (container,) = pod.containers
            container.volume_mounts.append(mounted)
            container.working_dir = str(Path.cwd())  # the plugin's is an empty folder
            return create(namespace, body)

        self.batchapi.create_namespaced_job = create_namespaced_job
