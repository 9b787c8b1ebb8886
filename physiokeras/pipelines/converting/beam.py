"""Conversion on Apache Beam (the extra `[beam]`): the same function of one record, on any of Beam's runners."""

from physiokeras.errors import DataError


def engine(options=()):
    """An engine for `physiokeras.pipelines.convert`.

    Each record is one element. The function that converts it writes the shard and the sidecar. Source and prepared
    folder must therefore have the same path on all of Beam's workers, and physiokeras must be installed there. A worker
    that Beam restarts writes the same bytes.

    Args:
        options: Options of Beam, such as `["--runner=FlinkRunner", "--flink_master=host:8081"]`; default: the
            DirectRunner in this process.

    Returns: a function of `(function, arguments)`, which returns when all records are converted.

    Raises:
        DataError: apache-beam is not installed.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise DataError(f"the option needs Apache Beam: pip install 'physiokeras[beam]' ({error}).") from error

    def run(function, arguments):
        if arguments:
            with beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
                # Without reshuffling, the runner would fuse the steps and not distribute the records.
                records = pipeline | "records" >> beam.Create(arguments) | beam.Reshuffle()
                _ = records | "convert" >> beam.MapTuple(function) | "drop" >> beam.Filter(lambda sidecar: False)
        return ()

    return run
