-- Each step of the 2023-24 transit limits replaces the one before.
select earlier.disruption_id, later.disruption_id as overlapping
from {{ ref('disruptions') }} as earlier
join {{ ref('disruptions') }} as later
    on earlier.waterway = later.waterway
    and earlier.started_at < later.started_at
    and later.started_at < coalesce(earlier.ended_at, 'infinity')
where earlier.waterway = 'panama' and earlier.kind = 'transit_limit' and later.kind = 'transit_limit'
