select resolution_id
from {{ ref('resolutions') }}
where (cost_usd is null) <> (settled_at is null) or settled_at <= decided_at
