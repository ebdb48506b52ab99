#!/usr/bin/env bash
# Builds the Dockerfile and runs its image where no container engine runs: buildah in a chroot, on a Debian base made by
# debootstrap instead of the python image. What that proves and what it does not: docs/docker.md.
#
#   sudo docker/prove.sh                   as root, on Debian or Ubuntu: apt-get install buildah debootstrap
#   sudo WHEELS=/some/folder docker/prove.sh
#                                          packages from a folder are preferred to the registry's, such as a CPU torch
#
# SUITE (bookworm), MIRROR and WORK (a temporary folder of some 6 GB, removed at the end) may be set too. A WORK that is
# given stays, and with it the base for the next time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

SUITE=${SUITE:-bookworm}
MIRROR=${MIRROR:-http://deb.debian.org/debian}
WHEELS=${WHEELS:-}
if [[ -z ${WORK:-} ]]; then
  WORK=$(mktemp -d)
  trap 'box umount --all > /dev/null 2>&1; rm -rf "$WORK"' EXIT
fi
mkdir -p "$WORK"

for tool in buildah debootstrap; do
  command -v "$tool" > /dev/null || { echo "$tool is missing: apt-get install buildah debootstrap" >&2; exit 1; }
done
[[ $(id -u) == 0 ]] || { echo "debootstrap and chroot need root" >&2; exit 1; }

step() { printf '\n== %s\n' "$*"; }

# Images and containers stay in WORK. vfs copies whole layers, but needs nothing of the kernel.
box() {
  local command=$1
  shift
  buildah --root "$WORK/storage" --runroot "$WORK/run" --storage-driver vfs "$command" "$@"
}
echo '{"default": [{"type": "insecureAcceptAnything"}]}' > "$WORK/policy.json"

step "base: Debian $SUITE with its own Python"
base=$WORK/base
if [[ ! -e $base.tar ]]; then
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv "$SUITE" "$base" "$MIRROR" > "$WORK/debootstrap.log"
  # What this host needs to reach the registries belongs to the base, not to the Dockerfile.
  cp /etc/ssl/certs/ca-certificates.crt "$base/etc/ssl/certs/"
  printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' > "$base/etc/pip.conf"
  if [[ -n $WHEELS ]]; then
    cp -r "$WHEELS" "$base/wheels"
    printf 'find-links = /wheels\n' >> "$base/etc/pip.conf"
  fi
  rm -rf "$base"/var/cache/apt/archives/*.deb "$base"/var/lib/apt/lists/*
  tar -C "$base" -cf "$base.tar" .
  rm -rf "$base"
fi
container=$(box from scratch)
box add --quiet "$container" "$base.tar" / > /dev/null
box commit --quiet --signature-policy "$WORK/policy.json" "$container" localhost/base > /dev/null
box rm "$container" > /dev/null

step "build: every instruction of the Dockerfile"
box bud --isolation chroot --signature-policy "$WORK/policy.json" --pull-never --format docker \
  --build-arg BASE=localhost/base \
  --build-arg VERSION="$(sed -n 's/^__version__ = "\(.*\)"/\1/p' moldesign/__init__.py)" \
  --build-arg REVISION="$(git rev-parse --short HEAD 2> /dev/null || echo unknown)" \
  --tag localhost/moldesign .

step "configuration"
box inspect --type image --format \
  '{{.Docker.Config.User}} {{.Docker.Config.WorkingDir}} {{.Docker.Config.Entrypoint}} {{.Docker.Config.Labels}}{{"\n"}}' localhost/moldesign

container=$(box from --pull-never --signature-policy "$WORK/policy.json" localhost/moldesign)
root=$(box mount "$container")
inside() { box run --isolation chroot "$container" -- "$@"; }
refuse() { if "$@" 2> /dev/null; then echo "should have failed: $*" >&2; exit 1; fi; }

step "nothing is left that only the build needed"
for cache in root/.cache home/moldesign/.cache var/lib/apt/lists var/cache/apt/archives src stage tmp; do
  [[ -d $root/$cache ]] || continue
  left=$(find "$root/$cache" -type f ! -name lock)
  [[ -z $left ]] || { printf 'left over:\n%s\n' "$left" >&2; exit 1; }
done
du -sh "$root/opt/venv" | sed "s#$root##"

step "the user: not root, writes to its home and to the workspace, not to the program"
inside id
inside sh -c 'touch "$HOME/x" /workspace/x && rm "$HOME/x" /workspace/x && pwd'
refuse inside touch /opt/venv/x

step "the program, as that user"
inside python -c 'import torch, rdkit; from rdkit.Chem import Draw; print("torch", torch.__version__, "rdkit", rdkit.__version__)'
inside moldesign --version
inside moldesign priors
inside sh -c 'printf "smiles\nCC(=O)Oc1ccccc1C(=O)O\n" > molecules.csv'
inside moldesign score molecules.csv --objective druglike -o scores.csv
inside cat scores.csv
inside moldesign sample -n 5 --seed 0 -o samples.csv
inside cat samples.csv
inside moldesign optimize druglike --budget 200 --seed 0 --sdf -o run
inside ls run

step "any other user too, as with --user"
box run --isolation chroot --user 4242:4242 "$container" -- moldesign sample -n 2 --seed 0 -o other.csv

step "proven"
