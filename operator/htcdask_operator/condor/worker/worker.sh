# Runs one Dask worker. Read as standard input by `bash -s NAME`, after the variables that bundle.py writes.
# All in functions: a stream that ends too early runs nothing.

fail() {
  echo "htcdask: $*" >&2
  exit 1
}

# A folder that only this job's account can enter; inside a container, only this job.
private_folder() {
  mktemp -d "$1/htcdask.XXXXXX" || fail "cannot make a folder in $1 on $HOSTNAME"
}

choose_program() {
  if command -v dask > /dev/null; then
    program=(dask worker)
  elif command -v dask-worker > /dev/null; then
    program=(dask-worker)
  else
    fail "there is no dask in this image (PATH=$PATH)"
  fi
}

main() {
  local name=$1 scratch=${_CONDOR_SCRATCH_DIR:-} program child status
  umask 077
  # HTCondor names a scratch folder even where the container does not show it; /tmp is private there.
  [ -d "$scratch" ] && [ -w "$scratch" ] || scratch=/tmp
  [ -d "${TMPDIR:-/}" ] || export TMPDIR=$scratch TMP=$scratch TEMP=$scratch
  choose_program
  # Not local: the EXIT trap outlives this function.
  work=$(private_folder "$scratch") || exit 1
  secrets=$work
  trap 'rm -rf "$work" "$secrets"' EXIT
  # A container's /dev/shm is its own, and memory: the key is then on no disk.
  if [ -n "${APPTAINER_CONTAINER:-}${SINGULARITY_CONTAINER:-}" ] && [ -w /dev/shm ]; then
    secrets=$(private_folder /dev/shm) || exit 1
  fi
  printf '%s\n' "$certificate" > "$secrets/dask.crt"
  printf '%s\n' "$key" > "$secrets/dask.pem"
  printf '%s\n' "$worker_preload" > "$work/htcdask_worker.py"
  options+=(--preload "$work/htcdask_worker.py")
  if [ -n "$nanny_preload" ]; then
    printf '%s\n' "$nanny_preload" > "$work/htcdask_nanny.py"
    options+=(--preload-nanny "$work/htcdask_nanny.py")
  fi
  unset certificate key
  local pair
  for pair in "${environment[@]}"; do export "${pair?}"; done
  cd "$work" || fail "cannot enter $work"

  # Signals go to this shell: it hands them on, and ends when the worker has ended.
  trap 'kill -TERM "$child" 2> /dev/null' TERM INT HUP
  "${program[@]}" "$scheduler" --name "$name" "${options[@]}" \
    --tls-ca-file "$secrets/dask.crt" --tls-cert "$secrets/dask.crt" --tls-key "$secrets/dask.pem" \
    --local-directory "$work" \
    < /dev/null > "$work/log" 2>&1 &
  child=$!
  while true; do
    wait "$child"
    status=$?
    kill -0 "$child" 2> /dev/null || break # else it was a signal that ended the waiting
  done
  if [ "$status" -ne 0 ]; then
    echo "htcdask: worker $name on $HOSTNAME ended with $status; its last lines:"
    tail -c 32768 "$work/log"
  fi
  return "$status"
}

main "$@"
exit
