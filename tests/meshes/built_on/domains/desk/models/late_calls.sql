select
    call_id,
    ship,
    planned_at,
    berthed_at,
    datediff('minute', planned_at, berthed_at) as minutes_late
from {{ source('quay', 'calls') }}
where berthed_at > planned_at + interval 1 hour
