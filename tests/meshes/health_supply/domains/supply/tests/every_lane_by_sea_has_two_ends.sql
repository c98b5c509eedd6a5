-- Of the late lines by sea; a new site of manufacture or a landlocked destination shows here.
select line_id
from {{ ref('late_lines') }}
where shipment_mode = 'ocean' and (lane_from is null or lane_to is null)
