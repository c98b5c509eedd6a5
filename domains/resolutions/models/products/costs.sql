-- Settled costs beside what was shipped. The shipments are the shipping desk's published product, not its raw data.
select
    resolutions.resolution_id,
    resolutions.shipment_id,
    resolutions.action_code,
    shipments.cargo_type,
    resolutions.settled_at,
    resolutions.cost_usd,
    cast(resolutions.cost_usd / shipments.container_count as decimal(12, 2)) as cost_per_container_usd,
    cast(100 * resolutions.cost_usd / shipments.cargo_value_usd as decimal(8, 2)) as cargo_value_percent
from {{ ref('resolutions') }} as resolutions
join {{ source('shipping', 'shipments') }} as shipments using (shipment_id)
where resolutions.settled_at is not null
