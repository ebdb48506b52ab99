# moldesign for GPU hosts. The CUDA libraries come inside the torch wheels, so the base is a plain Python image; the host
# needs its NVIDIA driver and the NVIDIA container toolkit. Use and proofs: docs/docker.md.
ARG BASE=python:3.12-slim-bookworm


# Everything but moldesign itself: gigabytes, and rebuilt only when pyproject.toml or constraints.txt changes.
FROM ${BASE} AS dependencies

ENV PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH

WORKDIR /src
COPY constraints.txt ./
# CUDA 13 (driver 580 or newer):  the defaults, torch's build on PyPI
# CUDA 12 (older drivers):        --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126
# no GPU, 4 GB smaller:           --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG TORCH_SPEC=torch==2.13.0
ARG TORCH_INDEX=https://pypi.org/simple
RUN sed "s/^torch==.*/${TORCH_SPEC}/" constraints.txt > /opt/constraints.txt \
    && pip install --extra-index-url "${TORCH_INDEX}" -c /opt/constraints.txt "${TORCH_SPEC}"

COPY pyproject.toml ./
RUN python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > requirements.txt \
    && pip install -c /opt/constraints.txt -r requirements.txt "setuptools>=77"


# moldesign alone, laid out under /stage as it goes into /opt/venv: a change of code rebuilds this and no more.
FROM dependencies AS project

COPY LICENSE README.md ./
COPY data data
COPY models models
COPY cli cli
COPY moldesign moldesign
RUN pip install --no-deps --no-build-isolation --root /stage .


FROM ${BASE}

# What RDKit's drawing code links to. Debian's stable release moves these only for security, so they are not pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libexpat1 libxext6 libxrender1 \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log

# Also for `docker run --user $(id -u)`: any user may write to the home and to the workspace.
RUN groupadd --gid 10001 moldesign \
    && useradd --uid 10001 --gid 10001 --no-log-init --home-dir /home/moldesign --shell /usr/sbin/nologin moldesign \
    && mkdir -p /home/moldesign /workspace \
    && chown 10001:10001 /home/moldesign /workspace \
    && chmod 1777 /home/moldesign /workspace

COPY --from=dependencies /opt/venv /opt/venv
COPY --from=project /stage/opt/venv /opt/venv

# LOGNAME: a user without an entry in /etc/passwd has no name to look up, and torch asks for one.
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/home/moldesign \
    LOGNAME=moldesign \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="moldesign" \
      org.opencontainers.image.description="Designs molecules: a recurrent SMILES policy optimised by policy gradients" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

USER 10001:10001
WORKDIR /workspace
ENTRYPOINT ["moldesign"]
CMD ["--help"]
