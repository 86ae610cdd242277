"""What a site is made of, built once into the cache: programs from Go modules, images from Debian and PyPI.

`prepare` builds all of it. programs (and toolchain) are Go's side, images (and buildah, rootfs_debian,
rootfs_condor, worker_image) are what runs in containers; go/ and containerfiles/ hold what both are built
from. Everybody's ground is here too: paths, packages (programs that come from Debian), progress, errors.
"""
