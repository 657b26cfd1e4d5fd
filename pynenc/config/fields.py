"""Every setting of an app: type, default and meaning. The table behind `app.conf`."""

from __future__ import annotations

from pynenc.conf.config_pynenc import ArgumentPrintMode, LogFormat
from pynenc.config import kinds
from pynenc.config.settings import PublishedName, Setting

_LEVELS = ("debug", "info", "warning", "error", "critical")


class StoreSettings:
    """Where work, results and big values are kept, and for how long."""

    __slots__ = ()

    app_id = Setting[str](kinds.APP_ID, "pynenc", "Name of the app; apps of different names share nothing.")
    url = Setting[str](kinds.TEXT, "", "The store; by default an SQLite file .pynenc/<app_id>.db.", secret=True)
    orchestrator_cls = Setting[str](kinds.CLASS_NAME, "", "Published way to name the store of the orchestrator.")
    broker_cls = Setting[str](kinds.CLASS_NAME, "", "Published way to name the store of the broker.")
    state_backend_cls = Setting[str](kinds.CLASS_NAME, "", "Published way to name the store of the state backend.")
    trigger_cls = Setting[str](kinds.CLASS_NAME, "", "Published way to name the store of triggers.")
    client_data_store_cls = Setting[str](kinds.CLASS_NAME, "", "Published way to name the store of big values.")
    sqlite_db_path = Setting[str](kinds.PATH, "", "Path of the SQLite file; '' for .pynenc/<app_id>.db.")
    redis_url = Setting[str](kinds.TEXT, "", "URL of the Redis server; used when components name Redis.", secret=True)
    redis_host = Setting[str](kinds.TEXT, "localhost", "Host of the Redis server, where no redis_url says it.")
    redis_port = Setting[int](kinds.whole(1, 65_535), 6_379, "Port of the Redis server, where no redis_url says it.")
    redis_db = Setting[int](kinds.whole(), 0, "Number of the Redis database, where no redis_url says it.")
    redis_username = Setting[str](kinds.TEXT, "", "User at the Redis server, where no redis_url says it.")
    redis_password = Setting[str](kinds.TEXT, "", "Password, where no redis_url says it.", secret=True)
    postgres_url = Setting[str](
        kinds.TEXT, "", "URL of the PostgreSQL server; used when components name PostgreSQL.", secret=True
    )
    durability = Setting[str](
        kinds.word_of("none", "normal", "full", "replicated"),
        "normal",
        "What acknowledged work survives: 'normal' the death of every process, 'full' a power failure, 'replicated' "
        "the loss of a server, 'none' nothing.",
    )
    retention_days = Setting[float | None](
        kinds.optional(kinds.number(above=0)), 7.0, "Days that ended invocations are kept; None: for ever."
    )
    auto_final_invocation_purge_hours = PublishedName[float | None](
        "retention_days",
        kinds.optional(kinds.number(above=0)),
        168.0,
        "Published name of `retention_days`, in hours.",
        inward=lambda hours: None if hours is None else hours / 24,
        outward=lambda days: None if days is None else days * 24,
    )
    client_data_store = Setting[str](
        kinds.TEXT,
        "",
        "Where big values are kept, file:///folder or s3://bucket/prefix; '' for the store of the invocations.",
        secret=True,
    )
    client_data_patience = Setting[float](
        kinds.duration(),
        300.0,
        "Seconds that a body which has ended waits until its big result can be kept; its attempt fails then.",
    )
    client_data_threshold = Setting[int | None](
        kinds.optional(kinds.whole()),
        65_536,
        "Bytes above which an argument or result goes to the client data store; None: never.",
    )
    min_size_to_cache = PublishedName[int | None](
        "client_data_threshold", kinds.optional(kinds.whole()), 65_536, "Published name of `client_data_threshold`."
    )
    disable_client_data_store = Setting[bool](
        kinds.FLAG, False, "Keep values of every size with the invocation, as `client_data_threshold=None` does."
    )
    serializer_cls = Setting[str](kinds.CLASS_NAME, "JsonSerializer", "How values become bytes: a name or class name.")
    serializer_keys = Setting[tuple[str, ...]](
        kinds.NAMES, (), "Secrets that sign pickled values: the first signs, all verify.", secret=True
    )
    serializer = PublishedName[str](
        "serializer_cls", kinds.CLASS_NAME, "JsonSerializer", "The same as `serializer_cls`."
    )


class RunnerSettings:
    """Who executes, how much at once, and when a runner counts as dead."""

    __slots__ = ()

    runner_cls = Setting[str](kinds.CLASS_NAME, "ThreadRunner", "The runner of `app.runner`.")
    scheduler = Setting[str | dict[str, str]](
        kinds.SCHEDULER, "fifo", "The order in which work is begun; or one for each queue, `*` for all others."
    )
    priority_rules = Setting[dict[str, float]](
        kinds.PRIORITY_RULES,
        {},
        "Priorities of tasks that have none of their own, by patterns of task ids; the first that fits.",
    )
    queues = Setting[tuple[str, ...]](kinds.QUEUES, (), "Queues that a runner serves; () for all.")
    queue_limits = Setting[dict[str, int]](
        kinds.QUEUE_LIMITS, {}, "Most bodies of a queue at a time in one runner, for some of `queues`."
    )
    queue_selection_strategy = Setting[str](
        kinds.word_of("by_rank", "round_robin", "ordered", "random"),
        "by_rank",
        "How a runner chooses among its `queues`.",
    )
    lease_seconds = Setting[float](
        kinds.number(1, 3600), 10.0, "A runner that is silent for so long is dead; its work goes to others."
    )
    prefetch = Setting[bool](kinds.FLAG, True, "Claim ahead when bodies are much shorter than a round trip.")
    max_crashes = Setting[int](
        kinds.whole(), 5, "Times that an invocation may take its worker down with it before it fails for good."
    )
    max_parked = Setting[int](
        kinds.whole(),
        0,
        "Bodies that may wait for others before a runner takes only what they need; 0 for the runner's own default.",
    )
    concurrency = Setting[int](
        kinds.whole(),
        0,
        "Bodies at once of an asyncio runner, or of each process of a hybrid one; 0 for its own default.",
    )
    worker_mode = Setting[str](
        kinds.word_of("threads", "asyncio"), "threads", "How each process of a hybrid runner runs its bodies."
    )
    min_threads = Setting[int](kinds.whole(1), 1, "Threads that are always there.")
    max_threads = Setting[int](kinds.whole(), 0, "Most bodies at once of a thread runner; 0 for its own default.")
    min_processes = Setting[int](kinds.whole(1), 1, "Worker processes that are always there.")
    max_processes = Setting[int](kinds.whole(), 0, "Most worker processes; 0 for one per core.")
    num_processes = Setting[int](
        kinds.whole(), 0, "Worker processes, always as many; 0 for min_processes to max_processes."
    )
    enforce_max_processes = Setting[bool](
        kinds.FLAG, True, "Whether a multi-thread runner always has max_processes, whatever the load."
    )
    idle_timeout_process_sec = Setting[float](
        kinds.number(0), 4.0, "Seconds without use after which a worker process above min_processes ends."
    )
    spare_workers = Setting[int](
        kinds.whole(), 0, "Worker processes that are kept ready to take the place of one that is gone."
    )
    worker_max_tasks = Setting[int](
        kinds.whole(), 0, "Bodies after which a worker process is replaced; 0 for no such limit."
    )
    worker_max_age = Setting[float | None](
        kinds.optional(kinds.duration(above_zero=True)), None, "Seconds after which a worker process is replaced."
    )
    worker_memory_limit = Setting[int | None](
        kinds.optional(kinds.SIZE), None, "Memory above which a worker process is replaced, between bodies."
    )
    worker_hard_memory_limit = Setting[int | None](
        kinds.optional(kinds.SIZE), None, "Memory above which a worker process is killed, and its body fails."
    )
    min_parallel_slots = Setting[int](kinds.whole(1), 1, "Least bodies at once, whatever the number of cores.")
    health_port = Setting[int | None](
        kinds.optional(kinds.whole(0, 65_535)),
        None,
        "Port at which a runner process tells how it is (/livez, /readyz); 0: any free one; None: nowhere.",
    )
    health_host = Setting[str](kinds.TEXT, "127.0.0.1", "Where that port is: a name or an address of this machine.")
    health_within_seconds = Setting[float](
        kinds.number(1), 60.0, "A runner whose loop or exchange with the store is older than this counts as stuck."
    )
    alive_file = Setting[str](
        kinds.PATH, "", "A file that a runner process touches every second while it is alive; '' for none."
    )
    middleware = Setting[tuple[str, ...]](
        kinds.NAMES,
        (),
        "Middleware, outermost first: names that packages declare, or module:Class; read when first used.",
    )
    metrics_port = Setting[int | None](
        kinds.optional(kinds.whole(0, 65_535)),
        None,
        "Port at which `pynenc runner start` serves metrics for Prometheus; 0 for any free one, None for none.",
    )
    metrics_host = Setting[str](kinds.TEXT, "127.0.0.1", "Where that port is: a name or an address of this machine.")
    dev_mode_force_sync_tasks = Setting[bool](kinds.FLAG, False, "Run every call at once, where it is made.")
    trigger_task_modules = Setting[tuple[str, ...]](
        kinds.NAMES,
        (),
        "Modules a runner imports because their tasks are started by triggers.",
        coming="triggers are not part of this release",
    )


class LogSettings:
    """What runners and the command line write. As a library Pynenc is silent."""

    __slots__ = ()

    logging_level = Setting[str](kinds.word_of(*_LEVELS), "info", "Least level that is written.")
    log_format = Setting[LogFormat](kinds.one_of(LogFormat), LogFormat.TEXT, "Lines for people, or JSON.")
    log_stream = Setting[str](kinds.word_of("stderr", "stdout"), "stderr", "Where log records go.")
    log_use_colors = Setting[bool | None](
        kinds.optional(kinds.FLAG), None, "Colours: always, never, or (None) where the stream is a terminal."
    )
    compact_log_context = Setting[bool](kinds.FLAG, True, "Shorten ids in lines for people.")
    print_arguments = Setting[bool](kinds.FLAG, True, "Whether logs show arguments of calls.")
    argument_print_mode = Setting[ArgumentPrintMode](
        kinds.one_of(ArgumentPrintMode), ArgumentPrintMode.TRUNCATED, "How much of the arguments logs show."
    )
    truncate_arguments_length = Setting[int](
        kinds.whole(), 32, "Characters of a value that truncated arguments show; 0 for all."
    )
