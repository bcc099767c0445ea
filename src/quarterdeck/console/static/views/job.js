// A job's own page: what the drawer shows, under an address that can be sent to a colleague.

import { html } from "../vendor/htm-preact-3.1.1.mjs";
import { navigate } from "../router.js";
import { JobPanel } from "../parts/job_panel.js";

export default function Job({ job, may }) {
  return html`<p class="crumb"><a href="/dashboard/system/queues">Queues</a></p>
    <header class="head"><h1>Job</h1></header>
    <div class="card pad">
      <${JobPanel} job=${job} may=${may} onGone=${() => navigate("/dashboard/system/queues")} />
    </div>`;
}
