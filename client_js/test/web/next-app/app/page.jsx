// A server component: rendered at each request, where there is no window and nothing may be connected.
import { Live } from "./live.jsx";

export const dynamic = "force-dynamic";

export default async function Page({ searchParams }) {
  const { hub = "/ws" } = await searchParams;
  return (
    <main>
      <h1>Jobs of the team</h1>
      <Live url={hub} />
    </main>
  );
}
