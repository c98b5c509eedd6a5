-- A day before or after the renaming, every booking names the ship alike.
select shipments.vessel_imo, shipments.booked_at::date as day
from {{ ref('shipments') }} as shipments
join {{ ref('stg_vessel_renames') }} as renames using (vessel_imo)
where shipments.booked_at::date <> renames.renamed_on
group by all
having count(distinct shipments.vessel_name) > 1
