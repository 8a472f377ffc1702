#!/bin/bash
# What a container of the prepare image is: `master` or `worker` of a Spark cluster with their own options, `driver` or
# `executor` as Spark's Kubernetes scheduler starts them, or else the command that it is given.
set -euo pipefail

# Java ends where its user has no name, and a container may be run by any number.
if ! whoami > /dev/null 2>&1; then
    { cat /etc/passwd; echo "anyone:x:$(id -u):$(id -g)::/tmp:/bin/false"; } > /tmp/passwd
    export LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD=/tmp/passwd NSS_WRAPPER_GROUP=/etc/group HOME=/tmp
fi

role=${1:-}
case $role in
    master) exec spark-class org.apache.spark.deploy.master.Master "${@:2}" ;;
    worker) exec spark-class org.apache.spark.deploy.worker.Worker "${@:2}" ;;
    driver) exec spark-submit --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" --deploy-mode client "${@:2}" ;;
    executor) ;;
    *) exec "$@" ;;
esac

# Spark 4.3 says all of an executor in its environment; each option of its Java is a variable, which may hold blanks.
options=()
while name=SPARK_JAVA_OPT_${#options[@]} && [[ -v $name ]]; do
    options+=("${!name}")
done
configuration=${SPARK_CONF_DIR:-$SPARK_HOME/conf}${HADOOP_CONF_DIR:+:$HADOOP_CONF_DIR}
exec java "${options[@]}" "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
    -cp "$configuration:$SPARK_HOME/jars/*${SPARK_CLASSPATH:+:$SPARK_CLASSPATH}" \
    org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
    --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
    --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" --podName "$SPARK_EXECUTOR_POD_NAME" \
    --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID"
