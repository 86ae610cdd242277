"""Which images are a window into the execute node."""

from __future__ import annotations

import pytest

from htcdask_operator.core.submit import images


@pytest.mark.parametrize(
    ("image", "window"),
    [
        ("/cvmfs/unpacked.cern.ch/org/image:tag", False),
        ("/u/bengal1/condor/PublicHealth.sif", False),
        ("/home/x/tmp/image.sif", False),
        ("/var/lib/condor/execute/dir_4711/scratch/image.sif", True),
        ("/scratch/dir_1/x.sif", True),
        ("/tmp/image.sif", False),
        ("docker://org/dir_1/image:tag", False),
        ("docker://org/image:tag", False),
        ("oras://registry.example/image:tag", False),
        ("/", True),
        ("/etc", True),
        ("/home/x", True),
        ("/var/lib/condor/execute", True),
        ("/cvmfs", True),
        ("/cvmfs/", True),
        ("/cvmfsx/image", True),
        ("/home/x/image.simg", True),
    ],
)
def test_a_folder_outside_the_site_s_trees_is_a_window_into_the_execute_node(
    image: str, window: bool
) -> None:
    assert images.is_window(image, ("/cvmfs",)) == window
