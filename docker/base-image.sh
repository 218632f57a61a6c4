#!/bin/sh
# A local base image for machines that reach no image registry: Debian with Python, and the certificates this machine trusts.
#
#   docker/base-image.sh [NAME]     make NAME (default hopsack-base:local) unless it is there already; print its name
#
# Then:  PYTHON_IMAGE=hopsack-base:local NODE_IMAGE=hopsack-base:local docker-compose up
# With a registry none of this is needed: the Dockerfiles default to python:3.11-slim-bookworm.
# The mirror is the one that this machine's apt uses, or DEBIAN_MIRROR.  About a minute the first time, then a second.
set -eu

name="${1:-hopsack-base:local}"
suite=bookworm # the release of the default image, and the Python (3.11) of the locks
rootfs_image="hopsack-rootfs:$suite"
certificates=/etc/ssl/certs/ca-certificates.crt

refuse() {
    echo "docker/base-image.sh: $1" >&2
    exit 1
}

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

make_rootfs() {
    command -v debootstrap >/dev/null || refuse "there is no debootstrap here; apt-get install debootstrap"
    [ "$(id -u)" = 0 ] || refuse "debootstrap needs root"
    # shellcheck disable=SC2016  # apt expands it
    mirror="${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' "Codename: $suite" |
        sort -u | head -n 1)}"
    [ -n "$mirror" ] || refuse "this machine's apt has no source of Debian $suite; name a mirror in DEBIAN_MIRROR"
    echo "docker/base-image.sh: debootstrap $suite (about a minute)" >&2
    debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv "$suite" "$scratch/rootfs" "$mirror" \
        >"$scratch/debootstrap.log" 2>&1 || { tail -n 20 "$scratch/debootstrap.log" >&2; refuse "debootstrap failed"; }
    rm -rf "$scratch"/rootfs/var/cache/apt/archives/*.deb "$scratch"/rootfs/var/lib/apt/lists/*
    tar -C "$scratch/rootfs" --one-file-system --exclude=./dev --exclude=./proc --exclude=./sys -c . |
        docker import --change 'CMD ["python3"]' - "$rootfs_image" >/dev/null
}

# The certificates are a layer of their own: they may change from machine to machine, and the engine's build cache notices.
add_certificates() {
    mkdir "$scratch/context"
    cp "$certificates" "$scratch/context/ca-certificates.crt"
    cat >"$scratch/context/Dockerfile" <<EOF
FROM $rootfs_image
COPY ca-certificates.crt $certificates
ENV PIP_CERT=$certificates SSL_CERT_FILE=$certificates
EOF
    docker build -q -t "$name" "$scratch/context" >/dev/null
}

docker image inspect "$rootfs_image" >/dev/null 2>&1 || make_rootfs
if [ -s "$certificates" ]; then
    add_certificates
else
    docker tag "$rootfs_image" "$name"
fi
echo "$name"
