"""Conversion on Apache Beam, the extra `[beam]`: the same function of one record, on any of Beam's runners."""

from physiokeras.errors import DataError


def engine(options=()):
    """An engine for `physiokeras.pipelines.convert`.

    Each record is one element; the function that converts it writes shard and sidecar itself, so source and prepared
    folder must be on a file system that all of Beam's workers see, under the same path, and physiokeras be installed
    there. A worker that Beam loses and starts again writes the same bytes.

    Args:
        options: Beam's own command line, such as `["--runner=FlinkRunner", "--flink_master=host:8081"]`; default: the
            DirectRunner in this process.

    Returns: a function of `(function, arguments)`, which returns when all is done.

    Raises:
        DataError: apache-beam is missing.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise DataError(f"needs Apache Beam: pip install 'physiokeras[beam]' ({error}).") from error

    def run(function, arguments):
        if arguments:
            with beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
                # Reshuffling lets the runner spread the records: it would fuse the steps into one otherwise.
                records = pipeline | "records" >> beam.Create(arguments) | beam.Reshuffle()
                _ = records | "convert" >> beam.MapTuple(function) | "drop" >> beam.Filter(lambda sidecar: False)
        return ()

    return run
