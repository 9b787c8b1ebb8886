# The demo, or any other command, on CPUs:
#   docker build --tag physiokeras .
#   mkdir -p runs && docker run --rm --user "$(id -u)" --volume "$PWD/runs:/work/runs" physiokeras
#   docker run --rm physiokeras doctor
#
# On NVIDIA GPUs, whose driver (525 or later) and container toolkit the host needs; CUDA comes with JAX's wheels:
#   docker build --tag physiokeras-gpu --build-arg BACKEND='jax[cuda12]' .
#   docker run --rm --gpus all --user "$(id -u)" --volume "$PWD/runs:/work/runs" physiokeras-gpu
FROM python:3.11-slim

ARG BACKEND=jax
COPY . /source
RUN pip install --no-cache-dir /source "${BACKEND}" && rm -r /source

# Any user of the host may run it: libraries keep their caches in HOME.
ENV KERAS_BACKEND=jax HOME=/tmp
WORKDIR /work
RUN chmod 777 /work
ENTRYPOINT ["physiokeras"]
CMD ["pretrain"]
