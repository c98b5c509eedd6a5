-- The vessel's name is the one it bore when the shipment was booked, whatever the export still says.
select
    bookings.shipment_id,
    bookings.booked_at,
    bookings.carrier,
    bookings.consignee,
    bookings.cargo_type,
    bookings.container_count,
    bookings.cargo_value_usd,
    bookings.origin,
    bookings.destination,
    bookings.vessel_imo,
    upper(
        case
            when renames.vessel_imo is null then bookings.exported_vessel_name
            when bookings.booked_at >= renames.renamed_on then renames.new_name
            else renames.old_name
        end
    ) as vessel_name
from {{ ref('stg_shipments') }} as bookings
left join {{ ref('stg_vessel_renames') }} as renames using (vessel_imo)
